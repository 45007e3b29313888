package consent

// Forget lets go of the resource and of everything about it, and keeps the
// memory for the next [Datum.Reset].
func (d *Datum) Forget() {
	clear(d.codes[:cap(d.codes)])
	*d = Datum{codes: d.codes[:0], aspects: aspects{ids: d.aspects.ids, text: d.aspects.text}}
}
