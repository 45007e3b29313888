package field

// A Report is a result that carries what was odd about its input.
type Report interface{ Report() []Finding }

// Report implements [Report].
func (t Text) Report() []Finding { return t.Findings }

// Report implements [Report].
func (m Moment) Report() []Finding { return m.Findings }

// Report implements [Report].
func (b Birth) Report() []Finding { return b.Findings }

// Report implements [Report].
func (p Person) Report() []Finding { return p.Findings }

// Report implements [Report].
func (a Address) Report() []Finding { return a.Findings }

// Report implements [Report].
func (p Phone) Report() []Finding { return p.Findings }

// Report implements [Report].
func (e Estimate) Report() []Finding { return e.Findings }

// Report implements [Report].
func (x Expiry) Report() []Finding { return x.Findings }
