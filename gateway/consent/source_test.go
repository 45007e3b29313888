package consent

import "testing"

func TestHowARuleDesignatesItsRecipient(t *testing.T) {
	actor := &Actor{Organization: "Organization/a", Networks: []string{"Organization/hie"}, TreatingProvider: true}
	party := func(reference string) string {
		return `,"provision":{"type":"permit","actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]},"reference":` + reference + `}]}}`
	}
	for name, c := range map[string]struct {
		provision, path string
		want            Designation
	}{
		"by name":             {party(`{"reference":"Organization/a"}`), "provision", Individual},
		"through an exchange": {party(`{"reference":"Organization/hie"}`), "provision", General},
		"as one of a class":   {party(`{"display":"my treating providers"}`), "provision", General},
		"not at all":          {`,"provision":{"type":"permit"}}`, "provision", General},
		"no such rule":        {party(`{"reference":"Organization/a"}`), "provision.provision[3]", Undetermined},
	} {
		got := Parse(parse(t, head+c.provision), Source{Entitled: true}).Designates(c.path, actor)
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestASourceComesBack(t *testing.T) {
	from := Source{Entitled: true, Foreign: true, Recorder: "Organization/a", Base: "http://x.example/", Digest: "d", Version: 4}
	c := Parse(parse(t, head+`}`), from)
	from.Reference = c.Reference()
	if got := c.Source(); got != from || got.Reference == "" {
		t.Errorf("got %+v", got)
	}
}
