package consent

// Forget lets go of the resource and of everything about it, and keeps the
// memory for the next [Datum.Reset].
func (d *Datum) Forget() {
	codes := d.codes[:cap(d.codes)]
	clear(codes)
	*d = Datum{codes: codes[:0], aspects: aspects{ids: d.aspects.ids}}
}
