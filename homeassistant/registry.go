package homeassistant

import (
	"context"
	"strings"
)

// Device is an entry of the device registry.
type Device struct {
	ID               string
	Name             string
	NameByUser       string `json:"name_by_user"`
	Manufacturer     string
	Model            string
	SWVersion        string `json:"sw_version"`
	ViaDevice        string `json:"via_device_id"` // the ID of another, or empty
	Identifiers      [][2]string
	Connections      [][2]string
	ConfigEntries    []string `json:"config_entries"`
	ConfigurationURL string   `json:"configuration_url"`
}

// Entity is an entry of the entity registry.
type Entity struct {
	Entity       string `json:"entity_id"`
	UniqueID     string `json:"unique_id"`
	Device       string `json:"device_id"`
	Platform     string // the integration: mqtt
	Name         string // given by the user
	OriginalName string `json:"original_name"`
	DisabledBy   string `json:"disabled_by"` // empty: enabled
	Category     string `json:"entity_category"`
}

// Devices returns the device registry.
func (i *Instance) Devices(ctx context.Context) (all []Device, err error) {
	return all, i.Command(ctx, "config/device_registry/list", nil, &all)
}

// Entities returns the entity registry.
func (i *Instance) Entities(ctx context.Context) (all []Entity, err error) {
	return all, i.Command(ctx, "config/entity_registry/list", nil, &all)
}

// UpdateEntity changes a registry entry: disabled_by nil enables it.
func (i *Instance) UpdateEntity(ctx context.Context, entity string, changes map[string]any) error {
	f := fields{"entity_id": entity}
	for k, v := range changes {
		f[k] = v
	}
	return i.Command(ctx, "config/entity_registry/update", f, nil)
}

// DeleteDevice takes a device out of a config entry, as "Delete" on its page
// does. Older releases know the command by another name.
func (i *Instance) DeleteDevice(ctx context.Context, device, entry string) error {
	err := i.Command(ctx, "config/device_registry/remove", fields{"device_id": device}, nil)
	if err != nil && strings.Contains(err.Error(), "unknown_command") {
		return i.Command(ctx, "config/device_registry/remove_config_entry",
			fields{"device_id": device, "config_entry_id": entry}, nil)
	}
	return err
}
