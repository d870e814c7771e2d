"""An SFTP and SCP server for tests: PORT FOLDER HOME USER PASSWORD."""
import asyncio
import os
import sys

import asyncssh

port, folder, home, user, password = int(sys.argv[1]), *sys.argv[2:6]


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, given):
        return username == user and given == password


async def main():
    keys = [os.path.join(folder, "hk_" + kind) for kind in ("ed25519", "ecdsa", "rsa")]
    await asyncssh.listen(
        "127.0.0.1", port, server_factory=Server, server_host_keys=keys,
        authorized_client_keys=os.path.join(folder, "authorized_keys"),
        sftp_factory=True, allow_scp=True,
        signature_algs=["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
                        "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa", "ssh-dss"])
    await asyncio.Event().wait()


os.chdir(home)
asyncio.run(main())
