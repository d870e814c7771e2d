// Package transfer finds files, names their targets and moves them, over a
// small interface to a server's file system. It knows nothing of SSH, jobs or
// configuration.
//
// A transfer is a Plan and a Get or Put. The plan turns sources, which may
// hold wildcards, into Items, one after the other as the search goes on: Find
// looks for them, Select says which are taken, and Placing gives each its
// target and refuses two sources for one. Get.Files or Put.Files moves them.
//
// A file under its final name is whole. The data goes to a temporary file in
// the target's own folder, called .NAME.RUNID.part, which is read to the size
// that the source had when it was opened, held against the source again, made
// durable, and then renamed over the target. Whatever fails, the old target
// stays and the temporary file goes. After a kill that gave no time for that,
// the next run removes what was left: locally by a lock that a live writer
// holds on its temporary file, on a server by age.
//
// Names from a server are hostile until CheckName has seen them, and all that
// is written locally lies below an os.Root, so that neither a name nor a
// symbolic link in the target tree leads out of it.
//
// Left out on purpose: devices, sockets and pipes are never copied; owners,
// setuid bits, access lists and extended attributes are not kept.
package transfer
