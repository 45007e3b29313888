package hl7v2

import (
	"fmt"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/charset"
)

// Two contents under one name of one sender are told; a message sent again, or one
// of another sender, is not.
func TestTwoContentsUnderOneControlIDAreTold(t *testing.T) {
	other := strings.Replace(a01, "19800102", "19800103", 1)
	elsewhere := strings.Replace(other, "|FAC|", "|FAR|", 1)
	unnamed := strings.Replace(a01, "|M1|", "||", 1)
	items, err := readAll(t, a01+a01+elsewhere+other+a01+unnamed+strings.Replace(unnamed, "Pat", "Pit", 1), adapters.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for i, it := range items {
		for _, is := range it.Issues {
			if is.Code == "control-id-repeats" {
				told = append(told, fmt.Sprint(i, " ", is.Field, " ", is.Pos.Line))
			}
		}
	}
	if got := strings.Join(told, ", "); got != "3 MSH-10 13, 4 MSH-10 17" {
		t.Error(got)
	}
}

func TestControlIDsAreForgottenAfterMany(t *testing.T) {
	var n named
	for i := range maxNamed + 10 {
		n.keep(uint64(i))
		n.contents[uint64(i)] = 1
	}
	if len(n.contents) != maxNamed || len(n.ring) != maxNamed {
		t.Errorf("%d names, %d in order", len(n.contents), len(n.ring))
	}
	if _, old := n.contents[9]; old {
		t.Error("the oldest is still known")
	}
	if _, kept := n.contents[10]; !kept {
		t.Error("a newer one is forgotten")
	}
}

func TestSwitchesOfTheCharacterSetAreTold(t *testing.T) {
	for text, want := range map[string][2]string{
		`a\C2842\b`:    {"ab", "charset-switch"},
		`a\M2442\b`:    {"ab", "charset-switch"},
		`a\M244228\b`:  {"ab", "charset-switch"},
		`a\C284200\b`:  {`a\C284200\b`, "unknown-escape"},
		`a\C28\b`:      {`a\C28\b`, "unknown-escape"},
		`a\M24G2\b`:    {`a\M24G2\b`, "unknown-escape"},
		`a\H\b\N\ \F\`: {"ab |", ""},
	} {
		items, err := readAll(t, a04+"NTE|1||"+text+"\r", adapters.Options{})
		if err != nil || len(items) != 1 || items[0].Record == nil {
			t.Fatalf("%s: %v %v", text, err, items)
		}
		got, code := items[0].Record.Root.First("NTE").First("3").Value(), ""
		if len(items[0].Issues) > 0 {
			code = items[0].Issues[0].Code
		}
		if got != want[0] || code != want[1] || len(items[0].Issues) > 1 {
			t.Errorf("%s is %q %v", text, got, items[0].Issues)
		}
	}
}

// What a header says can be acknowledged, whatever the bytes are.
func FuzzParseHeader(f *testing.F) {
	f.Add([]byte(a01))
	f.Add([]byte("MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5|||AL|NE||8859/1~ISO IR87\rEVN||\"\"\r"))
	f.Add([]byte("MSH#*?!@#\xff#\x00#\rEVN#A01#2026"))
	f.Add([]byte("\x0bMSH|"))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := ParseHeader(in, charset.Encoding{})
		if len(h.Hash) != 64 || !h.enc.Decided() || !isDelimiter(h.delims.field) {
			t.Fatalf("%+v", h)
		}
		if err == nil && (h.Type == "" || h.ControlID == "") {
			t.Fatalf("no fault, but type %q and control id %q", h.Type, h.ControlID)
		}
		if again, err2 := ParseHeader(in, charset.Encoding{}); again.Hash != h.Hash || again.Key() != h.Key() || (err == nil) != (err2 == nil) {
			t.Fatalf("read twice: %+v %v, %+v %v", h, err, again, err2)
		}
	})
}
