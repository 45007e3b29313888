package hl7v2_test

import (
	"testing"

	"github.com/handoff-health/handoff/adapters/adaptertest"
)

func TestSuite(t *testing.T) {
	s := adaptertest.BuiltIn(t, "ehr/hl7v2", "testdata")
	good := "FHS|^~\\&|ADT|CLINIC\rBHS|^~\\&|ADT|CLINIC\r" +
		"MSH|^~\\&|ADT|CLINIC|GW|HANDOFF|20260101120000-0500||ADT^A01^ADT_A01|M1|P|2.5.1|||||USA|UNICODE UTF-8\rEVN|A01|20260101120000-0500\rPID|1||MRN1^^^CLINIC^MR||Muñoz^Pat^Q||19800102|F|||1 Test St^^Riverton^ZZ^00501\rPV1|1|E|ED^1^A||||1234^Sample^Doc||||||||||||V1^^^CLINIC^VN|||||||||||||||||||||||||20260101115500-0500\r" +
		"MSH|^~\\&|ADT|CLINIC|GW|HANDOFF|20260102080000-0500||ADT^A04^ADT_A01|M2|P|2.5.1\rEVN|A04|20260102080000-0500\rPID|1||MRN2^^^CLINIC^MR||Muster^Alex||1975|M\rPV1|1|O|||||||||||||||||V2^^^CLINIC^VN\r" +
		"BTS|2\rFTS|1\r"
	bad := "hello\rMSH|^^\\&|x\r" + good + "MSH|^~\\&|ADT|CLINIC|||20260103||ADT^A03^ADT_A03|M3|P|2.5.1\rPID|1||MRN1^^^CLINIC^MR\r"
	s.Good, s.Bad = []byte(good), []byte(bad)
	s.Run(t)
}
