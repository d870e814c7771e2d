package config

import "golang.org/x/sys/windows"

func thisSystem() System {
	return System{
		GOOS: "windows", Root: windows.GetCurrentProcessToken().IsElevated(),
		KnownFolder: func(f KnownFolder) string {
			id := windows.FOLDERID_ProgramData
			if f == LocalAppData {
				id = windows.FOLDERID_LocalAppData
			}
			path, err := windows.KnownFolderPath(id, windows.KF_FLAG_DEFAULT)
			if err != nil {
				return ""
			}
			return path
		},
	}
}
