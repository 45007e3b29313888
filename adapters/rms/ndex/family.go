package ndex

import "strings"

// A family is a group of namespaces whose names mean the same in all versions.
// The zero value is a foreign namespace: nothing in it is read.
type family uint8

const (
	foreign   family = iota
	core             // NIEM core
	justice          // NIEM justice domain (JXDM)
	structure        // s:id, s:ref
	lexs             // LEXS envelope, library and digest
	ndexReport
	nibrs
	cjis   // of NIBRS
	crisis // a crisis-intervention supplement
)

// families are prefixes of namespace URIs. The NIEM ones hold from 2.0 to 6.0;
// a version must follow.
var families = []struct {
	prefix string
	is     family
}{
	{"http://niem.gov/niem/niem-core/", core},
	{"http://release.niem.gov/niem/niem-core/", core},
	{"https://docs.oasis-open.org/niemopen/ns/model/niem-core/", core},
	{"http://niem.gov/niem/domains/jxdm/", justice},
	{"http://release.niem.gov/niem/domains/jxdm/", justice},
	{"https://docs.oasis-open.org/niemopen/ns/model/domains/justice/", justice},
	{"http://niem.gov/niem/structures/", structure},
	{"http://release.niem.gov/niem/structures/", structure},
	{"https://docs.oasis-open.org/niemopen/ns/model/structures/", structure},
	{"http://usdoj.gov/leisp/lexs/", lexs},
	{"http://lexs.usdoj.gov/lexs/", lexs},
	{"http://fbi.gov/cjis/N-DEx/", ndexReport},
	{"http://fbi.gov/cjis/nibrs/", nibrs},
	{"http://fbi.gov/cjis/", cjis},
	{"urn:example:synthetic:cit-supplement:", crisis},
	{"https://handoff-health.github.io/fhir/xml/crisis-supplement/", crisis},
}

func familyOf(uri string) family {
	for _, f := range families {
		if rest, ok := strings.CutPrefix(uri, f.prefix); ok && rest != "" && rest != "/" {
			return f.is
		}
	}
	return foreign
}
