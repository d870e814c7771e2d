package db

// Statements are those of one step of the schema.
func (k Kind) Statements(step int) ([]string, error) { return k.statements(step) }
