package resource

// RawName returns the member's name as it stands in the document, without its
// quotes; nil if the value is not an object's member. It does not allocate, and
// a name that is written with escapes is returned with them.
func (n Node) RawName() []byte {
	if n.d == nil || !n.at().named {
		return nil
	}
	raw := n.rawName()
	return raw[1 : len(raw)-1]
}
