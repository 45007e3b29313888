package ndex

import "strings"

// A class is what a role comes to for a crisis contact.
type class uint8

const (
	classNone class = iota
	classInvolved
	classSubject
	classReporting // who told the police
	classCaller
	classVictim
	classWitness
	classDispatcher
	classOfficer
)

var classNames = [...]string{"", "involved", "subject", "reporting", "caller", "victim", "witness", "dispatcher", "officer"}

// classOf reads the name of a role or of an association's part. The order
// matters: a MissingPersonLastSeenWitness is a witness.
func classOf(name string) class {
	for _, c := range []struct {
		is    class
		words []string
	}{
		{classDispatcher, []string{"Dispatcher", "Operator"}},
		{classOfficer, []string{"Official", "Officer", "Judge", "EnforcementUnit"}},
		{classWitness, []string{"Witness"}},
		{classVictim, []string{"Victim"}},
		{classCaller, []string{"Caller"}},
		{classReporting, []string{"Reporting", "Declaration", "Complainant", "Reportee"}},
		{classSubject, []string{"Subject", "Suspect", "Arrestee", "MissingPerson", "PrimaryPerson", "PersonOfInterest", "FieldContactPerson", "ContactedPerson", "Detainee"}},
		{classInvolved, []string{"Involved", "ResponsiblePerson"}},
	} {
		for _, w := range c.words {
			if strings.Contains(name, w) {
				return c.is
			}
		}
	}
	return classNone
}

// classIn is the class that an association gives to one of its ends: the part's
// name where it says one, else the association's.
func classIn(l *link, e end) class {
	if c := classOf(e.name); c != classNone {
		return c
	}
	switch e.name {
	case "Person", "Entity", "EnforcementOfficial", "EntityPerson", "Participant":
		return classOf(l.name)
	}
	return classNone
}

// Relations between two persons, by the association of a family or household and
// the part of the other one: codes of v3-RoleCode.
var relations = map[string]string{
	"PersonParent": "PRN", "PersonChild": "CHILD", "PersonSibling": "SIB", "PersonSpouse": "SPS", "PersonGrandparent": "GRPRN", "PersonGrandchild": "GRNDCHILD",
	"PersonGuardian": "GUARD", "PersonStepParent": "STPPRN", "PersonStepChild": "STPCHLD",
}

// relationOf is the code and the words for how the other end of a link stands to
// a person; words alone where no code fits.
func relationOf(l *link, other end) (code, words string) {
	if c := relations[other.name]; c != "" {
		return c, strings.TrimPrefix(other.name, "Person")
	}
	switch l.name {
	case "MarriageAssociation":
		return "SPS", "Spouse"
	case "DomesticPartnershipAssociation":
		return "DOMPART", "Domestic partner"
	case "CaregiverAssociation":
		if strings.Contains(other.name, "Caregiver") {
			return "", "Caregiver"
		}
		return "", "Person in care"
	case "ImmediateFamilyAssociation", "FamilyAssociation", "ExtendedFamilyAssociation":
		return "FAMMEMB", "Family member"
	case "GuardianAssociation":
		if strings.Contains(other.name, "Guardian") {
			return "GUARD", "Guardian"
		}
	case "FriendshipAssociation", "AcquaintanceAssociation":
		return "FRND", "Friend"
	case "NeighborAssociation":
		return "NBOR", "Neighbor"
	case "RoommateAssociation":
		return "ROOM", "Roommate"
	}
	return "", ""
}
