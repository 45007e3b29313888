package hl7v2_test

import (
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
)

func TestAcknowledgements(t *testing.T) {
	now := time.Date(2025, 1, 4, 5, 13, 0, 0, time.FixedZone("", -5*3600))
	for name, c := range map[string]struct {
		in   string
		code hl7v2.AckCode
		errs []hl7v2.AckError
		want string
	}{
		"accept": {
			in: "MSH|^~\\&|EPIC|MERCY|HANDOFF|COUNTY|20250104051300||ADT^A01^ADT_A01|M-1|P|2.5.1\rEVN||20250104\rPID|1\r", code: hl7v2.ApplicationAccept,
			want: "MSH|^~\\&|HANDOFF|COUNTY|EPIC|MERCY|20250104051300-0500||ACK^A01^ACK|A1|P|2.5.1\rMSA|AA|M-1\r",
		},
		"components and a facility of separators alone": {
			in: "MSH|^~\\&|EPIC^1.2.3^ISO|MERCY|^^|^^|2025||ADT^A08|M-1|T|2.3\r", code: hl7v2.CommitAccept,
			want: "MSH|^~\\&|||EPIC^1.2.3^ISO|MERCY|20250104051300-0500||ACK^A08|A1|T|2.3\rMSA|CA|M-1\r",
		},
		"an error since 2.5": {
			in: "MSH|^~\\&|EPIC|MERCY|||2025||ADT^A01|M|1|P|2.5\r", code: hl7v2.ApplicationError,
			errs: []hl7v2.AckError{{Code: hl7v2.RequiredField, Field: "PID-3.1", Text: "no identifier | none", Own: "patient-identifier-missing"}},
			want: "MSH|^~\\&|||EPIC|MERCY|20250104051300-0500||ACK^A01^ACK|A1|1|P\rMSA|AE|M|no identifier \\F\\ none\r" +
				"ERR||PID^1^3^1^1|101^Required field missing^HL70357|E|patient-identifier-missing|||no identifier \\F\\ none\r",
		},
		"an error before 2.5": {
			in: "MSH|^~\\&|EPIC|MERCY|||2025||ADT^A01|M|P|2.3.1\r", code: hl7v2.ApplicationReject,
			errs: []hl7v2.AckError{{Code: hl7v2.UnsupportedEvent, Field: "MSH-9"}},
			want: "MSH|^~\\&|||EPIC|MERCY|20250104051300-0500||ACK^A01|A1|P|2.3.1\rMSA|AR|M|\rERR|MSH^1^9^201&Unsupported event code&HL70357\r",
		},
		"other separators, five characters, a charset": {
			in: "MSH$%~!@#$EPIC$M\xdcNCHEN$$$2025$$ADT%A01$M$P$2.7$$$AL$NE$$8859/1\r", code: hl7v2.CommitError,
			errs: []hl7v2.AckError{{Code: hl7v2.ApplicationInternal, Text: "50% of M\u00fcnchen"}},
			want: "MSH$%~!@#$$$EPIC$M\xdcNCHEN$20250104051300-0500$$ACK%A01%ACK$A1$P$2.7$$$$$$8859/1\rMSA$CE$M$50!S! of M\xfcnchen\r" +
				"ERR$$$207%Application internal error%HL70357$E$$$$50!S! of M\xfcnchen\r",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := hl7v2.ParseHeader([]byte(c.in), charset.Encoding{})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(hl7v2.Ack(h, c.code, "A1", now, c.errs...)); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestHeaderIsReadAsFarAsItGoes(t *testing.T) {
	h, err := hl7v2.ParseHeader([]byte("MSH|^~\\&|EPIC|MERCY|X|Y|20250104||ADT^A03^ADT_A03|M-7|P|2.5.1|||AL|er\nEVN||202501051300||||202501041200\nPV1|1"), charset.Encoding{})
	if err != nil {
		t.Fatal(err)
	}
	if h.Key() != "EPIC|MERCY|M-7" || h.Kind() != "ADT_A03" || h.EventTime != "202501051300" || !h.Enhanced() || h.AcceptAck != "AL" || h.ApplicationAck != "ER" {
		t.Errorf("got %+v", h)
	}
	crlf := strings.ReplaceAll("\x0bMSH|^~\\&|A|B|||2025||ADT^A01|1|P|2.5\nPID|1\n", "\n", "\r\n") + "\x1c\r"
	a, _ := hl7v2.ParseHeader([]byte(crlf), charset.Encoding{})
	b, _ := hl7v2.ParseHeader([]byte("MSH|^~\\&|A|B|||2025||ADT^A01|1|P|2.5\rPID|1"), charset.Encoding{})
	if a.Hash != b.Hash || a.Hash == h.Hash {
		t.Error("the hash depends on line ends and framing, or on nothing")
	}
	for in, field := range map[string]string{
		"": "MSH", "PID|1\r": "MSH", "MSH|": "MSH-1", "MSHA^~\\&|x": "MSH-1", "MSH|^^\\&|A|B||||ADT|1": "MSH-2",
		"MSH|^~\\&|A|B|||2025|||1|P|2.5\r": "MSH-9", "MSH|^~\\&|A|B|||2025||ADT^A01||P|2.5\r": "MSH-10",
	} {
		h, err := hl7v2.ParseHeader([]byte(in), charset.Encoding{})
		e := hl7v2.ErrorOf(err)
		if err == nil || e.Field != field {
			t.Errorf("%q: %v at %q, want an error at %s", in, err, e.Field, field)
		}
		if ack := hl7v2.Ack(h, hl7v2.ApplicationReject, "A", time.Unix(0, 0), e); !strings.Contains(string(ack), "\rMSA") {
			t.Errorf("%q: the refusal %q is no acknowledgement", in, ack)
		}
	}
}
