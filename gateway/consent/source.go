package consent

// Source returns what was known of where the Consent comes from, its Reference
// filled in: what the audit trail keeps, so that a decision can be made again.
func (c *Consent) Source() Source {
	s := c.source
	s.Reference = c.name
	return s
}
