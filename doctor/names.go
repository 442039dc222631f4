package doctor

import (
	"errors"
	"fmt"
	"io/fs"

	"porchlight/leases"
)

// checkNames reads the files that names are to be taken from.
func checkNames(leaseFiles, hostsFiles []string) (found []Finding) {
	for _, path := range leaseFiles {
		file, err := leases.ReadLeases(path)
		found = append(found, checkNameFile("lease", path, file, err))
	}
	for _, path := range hostsFiles {
		file, err := leases.ReadHosts(path)
		found = append(found, checkNameFile("hosts", path, file, err))
	}
	return found
}

func checkNameFile(kind, path string, file leases.File, err error) Finding {
	const check = "names"
	setting := map[string]string{"lease": "PORCHLIGHT_LEASE_FILES", "hosts": "PORCHLIGHT_HOSTS_FILES"}[kind]
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return warn(check, fmt.Sprintf("There is no %s file %s; it is waited for.", kind, path),
			"Look where the server keeps it, and name that in "+setting+".")
	case errors.Is(err, fs.ErrPermission):
		return warn(check, fmt.Sprintf("This user may not read the %s file %s.", kind, path),
			"Run as the user that Porchlight runs as, or let that user read it: in a service by SupplementaryGroups= with the file's group.")
	case err != nil:
		return warn(check, fmt.Sprintf("The %s file is no use: %v.", kind, err), "Correct "+setting+".")
	case file.LeftOut > 0:
		return warn(check, fmt.Sprintf("%s (%s): names read: %d; lines that make no sense, or that there is no room for: %d.", path, file.Format, file.Names(), file.LeftOut),
			"Look at the file; the rest of it is used.")
	case file.Format == "":
		return ok(check, fmt.Sprintf("%s is empty so far.", path))
	}
	return ok(check, fmt.Sprintf("%s (%s): names read: %d.", path, file.Format, file.Names()))
}
