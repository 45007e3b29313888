package field

// A Report is a result that carries what was odd about its input.
type Report interface{ Report() []Finding }

func (t Text) Report() []Finding     { return t.Findings }
func (m Moment) Report() []Finding   { return m.Findings }
func (b Birth) Report() []Finding    { return b.Findings }
func (p Person) Report() []Finding   { return p.Findings }
func (a Address) Report() []Finding  { return a.Findings }
func (p Phone) Report() []Finding    { return p.Findings }
func (e Estimate) Report() []Finding { return e.Findings }
func (x Expiry) Report() []Finding   { return x.Findings }
