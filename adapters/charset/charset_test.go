package charset

import (
	"strings"
	"testing"
)

func TestLookupKnowsConfiguredAndHL7Names(t *testing.T) {
	for name, want := range map[string]string{
		"UTF-8": "utf-8", "utf8": "utf-8", "ASCII": "utf-8", "UNICODE UTF-8": "utf-8", "Windows-1252": "windows-1252", "cp1252": "windows-1252",
		"ISO-8859-1": "iso-8859-1", "8859/1": "iso-8859-1", "8859/15": "iso-8859-15", "ISO IR87": "iso-2022-jp", "BIG-5": "big5", "UTF-16LE": "utf-16le",
	} {
		if e, err := Lookup(name); err != nil || e.String() != want {
			t.Errorf("%s: %q, %v", name, e, err)
		}
	}
	if _, err := Lookup("wrong"); err == nil {
		t.Error("an unknown name was taken")
	}
}

func TestSniffingLooksAtAllBytes(t *testing.T) {
	filler := strings.Repeat("plain text\n", 20_000)
	for _, c := range []struct{ name, in, want string }{
		{"ascii", filler, ""},
		{"late byte", filler + "\xf1", "windows-1252"},
		{"late UTF-8", filler + "ñ", "utf-8"},
		{"mostly UTF-8", "ñññ\xf1", "utf-8"},
		{"mojibake in Windows-1252", "\xf1\xe9 ñ \xfc", "windows-1252"},
		{"UTF-16", strings.ReplaceAll("a,b,c\n", "", "\x00")[1:], "utf-16le"},
	} {
		s, err := Sniff(strings.NewReader(c.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Guess(true); got.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("Mu\xf1oz \x81\xff\xfe\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, name := range []string{"utf-8", "utf-16le", "utf-16be", "windows-1252", "iso-8859-1", "8859/2", "ISO IR87"} {
			e, err := Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := e.Decode(in); strings.ToValidUTF8(text, "") != text {
				t.Fatalf("%s: %q gives invalid text %q", name, in, text)
			}
		}
	})
}
