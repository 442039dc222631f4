package presence

// Model is what was learned of a device's silences. It is kept with the device
// and stored by MarshalBinary.
type Model struct{}

// MarshalBinary implements encoding.BinaryMarshaler.
func (m *Model) MarshalBinary() ([]byte, error) { return nil, nil }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (m *Model) UnmarshalBinary([]byte) error { return nil }
