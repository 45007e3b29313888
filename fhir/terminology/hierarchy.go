package terminology

import "strings"

// sensitivityTree is the part of v3-ActCode 11.0.0 that says why information is
// sensitive (HL7 THO, CC0): parent first, its children in brackets. ETH is no
// child of SUD there; which of them stand for one another is policy's question.
const sensitivityTree = `
ETH GDIS HIV MST PREGNANT SCA SDV SEX STD TBOO VIO IDS
SPI ( BH ( COGN DVD EMOTDIS ) MH PSY PSYTHPN SUD ( ETHUD OPIOIDUD ) )
DEMO DOB GENDER LIVARG MARST PATLOC RACE REL EMPL LOCIS SSP
ADOL CEL VIP DIA DRGIS EMP PDS PHY PRS`

// obligationTree holds the codes of ObligationPolicy that have children.
const obligationTree = `CPLYPOL ( CPLYCC CPLYCD CPLYCUI CPLYJPP CPLYJSP CPLYOPP CPLYOSP ) ENCRYPT ( ENCRYPTR ENCRYPTT ENCRYPTU )`

// purposeTree is PurposeOfUse of v3-ActReason 4.0.0 (HL7 THO, CC0).
const purposeTree = `
PurposeOfUse (
 HMARKT
 HOPERAT ( CAREMGT DONAT FRAUD GOV HACCRED HCOMPL HDECD HDIRECT HDM HLEGAL HOUTCOMS HPRGRP
  HQUALIMP HSYSADMIN LABELING MEMADMIN METAMGT MILCDRG PATADMIN PATSFTY PERFMSR RECORDMGT
  SYSDEV ( HTEST TRAIN ) )
 HPAYMT ( CLMATTCH COVAUTH COVERAGE ( ELIGDTRM ELIGVER ENROLLM ) REMITADV )
 HRESCH ( BIORCH CLINTRCH ( CLINTRCHNPC CLINTRCHPC PRECLINTRCH ) DSRCH POARCH TRANSRCH )
 PATRQT ( FAMRQT PWATRNY SUPNWK )
 PUBHLTH ( DISASTER THREAT )
 TREAT ( CLINTRL COC ETREAT ( BTG ERTREAT ) POPHLTH TREATDS )
)`

// lawCodes are the US law tags of v3-ActCode.
const lawCodes = `42CFRPart2 HIPAAPsyNotes HIPAAAuth HIPAAConsent HIPAANOPP HIPAAROA HIPAASelfPay Title38Section7332 CommonRule`

// obligations and refrains are the codes of ObligationPolicy and RefrainPolicy
// of v3-ActCode 11.0.0.
const (
	obligations = `ANONY AOD AUDIT AUDTR CPLYPOL CPLYCC CPLYCD CPLYCUI CPLYJPP CPLYJSP CPLYOPP CPLYOSP DECLASSIFYLABEL DEID DELAU DOWNGRDLABEL
DRIVLABEL ENCRYPT ENCRYPTR ENCRYPTT ENCRYPTU HUAPRV LABEL MASK MINEC PERSISTLABEL PRIVMARK PSEUD REDACT UPGRDLABEL PROCESSINLINELABEL`
	refrains = `NOAUTH NOCOLLECT NODSCLCD NODSCLCDS NOINTEGRATE NOLIST NOMOU NOORGPOL NOPAT NOPERSISTP NORDSCLCD NORDSCLCDS NORDSCLW
NORELINK NOREUSE NOVIP ORCON`
	// duties are those among them that only tell a recipient what to do with
	// what it got. All others tell that something was, or is to be, held back
	// from somebody: they do not stand on a Bundle (HL7 DS4P).
	duties = `AOD AUDIT AUDTR CPLYPOL CPLYCC CPLYCD CPLYCUI CPLYJPP CPLYJSP CPLYOPP CPLYOSP ENCRYPT ENCRYPTR ENCRYPTT ENCRYPTU HUAPRV MINEC
PERSISTLABEL PRIVMARK NOPERSISTP NORDSCLCD NORDSCLCDS NORDSCLW NORELINK NOREUSE`
)

var (
	// parents holds a node's parent per hierarchy; a top node's parent is "".
	parents = map[System]map[string]string{
		ActCode:   readTree(sensitivityTree + "\n" + obligationTree),
		ActReason: readTree(purposeTree),
	}
	sensitivities = readList(sensitivityTree)
	laws          = readList(lawCodes)
	policies      = readList(obligations + " " + refrains)
	dutyCodes     = readList(duties)
)

// readTree reads "A B ( C D ( E ) )" into child → parent.
func readTree(text string) map[string]string {
	m := map[string]string{}
	parent, last := []string{""}, ""
	for w := range strings.FieldsSeq(text) {
		switch w {
		case "(":
			parent = append(parent, last)
		case ")":
			parent = parent[:len(parent)-1]
		default:
			m[w], last = parent[len(parent)-1], w
		}
	}
	return m
}

// readList reads the codes of a list or a tree: upper case → as spelled.
func readList(text string) map[string]string {
	m := map[string]string{}
	for w := range strings.FieldsSeq(text) {
		if w != "(" && w != ")" {
			m[strings.ToUpper(w)] = w
		}
	}
	return m
}

// Subsumes says whether ancestor is code or stands above it in the system's
// hierarchy: TREAT subsumes ETREAT and BTG, SUD subsumes OPIOIDUD. Codes of a
// system without a hierarchy here subsume only themselves. The system may be
// spelled in any way.
func Subsumes(system, ancestor, code string) bool {
	if ancestor == code {
		return true
	}
	tree := parents[SystemOf(system)]
	for code = tree[code]; code != ""; code = tree[code] {
		if code == ancestor {
			return true
		}
	}
	return false
}

// Descendants returns code and everything below it in the system's hierarchy,
// in no order.
func Descendants(system, code string) []string {
	out := []string{code}
	for c := range parents[SystemOf(system)] {
		if c != code && Subsumes(system, code, c) {
			out = append(out, c)
		}
	}
	return out
}

// Sensitivity returns the v3-ActCode sensitivity that code spells, whatever its
// case, and false if it is none. It does not allocate.
func Sensitivity[T string | []byte](code T) (string, bool) { return spelled(sensitivities, code) }

// Law returns the US law tag of v3-ActCode that code spells, whatever its case,
// and false if it is none. It does not allocate.
func Law[T string | []byte](code T) (string, bool) { return spelled(laws, code) }

// PrivacyRevealing says whether the v3-ActCode label tells that something is
// withheld from somebody, so that it must not stand on a Bundle.
func PrivacyRevealing(code string) bool {
	if _, ok := spelled(policies, code); !ok {
		return false
	}
	_, duty := spelled(dutyCodes, code)
	return !duty
}

// spelled finds the code of the list that code spells in any case.
func spelled[T string | []byte](list map[string]string, code T) (string, bool) {
	var buf [maxCode]byte
	if len(code) > len(buf) {
		return "", false
	}
	up := buf[:0]
	for i := range len(code) {
		c := code[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up = append(up, c)
	}
	s, ok := list[string(up)]
	return s, ok
}

func foldEqual[T string | []byte](a string, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x >= 'a' && x <= 'z' {
			x -= 'a' - 'A'
		}
		if y >= 'a' && y <= 'z' {
			y -= 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}
