package mappings

import "errors"

// A Profile says what is particular to one sender: whose records these are and
// in which zone, charset and spelling they come.
type Profile struct {
	Mapping   string            // mapping file: "rms/riverton/contact.map.yaml"
	Adapter   string            // decoder: "rms/csv"
	TimeZone  string            // IANA name
	Charset   string            // for decoders: "windows-1252", "utf-8", "" = sniff
	Delimiter string            // for decoders of delimited files: "," "|" "\t", "" = sniff
	Aliases   map[string]string // header in the file → column of the mapping
}

// ParseProfile reads a profile file; name is for error messages.
func ParseProfile(name string, raw []byte) (*Profile, error) {
	return nil, errors.New("mappings: not yet")
}
