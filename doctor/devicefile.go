package doctor

import (
	"errors"
	"fmt"
	"io/fs"

	"porchlight/devicefile"
)

// checkDeviceFile looks at the device file of the settings, if there is one. A
// fault in it stops nothing: what it said before counts.
func checkDeviceFile(path string) []Finding {
	const check = "devices"
	if path == "" {
		return nil
	}
	content, err := devicefile.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{warn(check, fmt.Sprintf("There is no device file %s.", path), "Write it, or unset PORCHLIGHT_DEVICES_FILE; it is read as soon as it is there.")}
	case errors.Is(err, fs.ErrPermission):
		return []Finding{warn(check, fmt.Sprintf("This user may not read the device file %s.", path), "Let the user that Porchlight runs as read it.")}
	case err != nil:
		return []Finding{warn(check, fmt.Sprintf("The device file %s cannot be read: %v.", path, err), "Correct PORCHLIGHT_DEVICES_FILE.")}
	}
	list, err := devicefile.Parse(content)
	var faults devicefile.Faults
	switch {
	case errors.As(err, &faults):
		var found []Finding
		for _, f := range faults[:min(len(faults), maxFaults)] {
			found = append(found, warn(check, fmt.Sprintf("The device file %s, %s.", path, f), "Correct it; until then what it said before counts."))
		}
		return found
	case len(list) == 1:
		return []Finding{ok(check, fmt.Sprintf("The device file %s speaks of one device.", path))}
	}
	return []Finding{ok(check, fmt.Sprintf("The device file %s speaks of %d devices.", path, len(list)))}
}

// maxFaults is how many faults of the device file are told.
const maxFaults = 10
