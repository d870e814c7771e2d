package stamp

// Stamps returns the text of each stamp in the template.
func (t *Template) Stamps() []string {
	var stamps []string
	for _, p := range t.parts {
		if p.stamp != literal {
			stamps = append(stamps, p.source)
		}
	}
	return stamps
}
