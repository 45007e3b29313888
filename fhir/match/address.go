package match

import "strings"

// streetWords brings words of addresses to the forms of USPS Publication 28.
var streetWords = map[string]string{
	"street": "st", "avenue": "ave", "av": "ave", "road": "rd", "drive": "dr", "lane": "ln", "court": "ct",
	"boulevard": "blvd", "place": "pl", "circle": "cir", "highway": "hwy", "parkway": "pkwy", "terrace": "ter",
	"square": "sq", "trail": "trl", "apartment": "apt", "unit": "apt", "suite": "ste", "north": "n", "south": "s",
	"east": "e", "west": "w", "northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
}

// institutions are words that mark an address as a place where many stay. Two
// people in one shelter or jail are not one person.
var institutions = []string{
	"shelter", "mission", "jail", "prison", "correctional", "corrections", "detention", "penitentiary", "juvenile hall",
	"homeless", "transient", "no fixed", "general delivery", "salvation army", "rescue", "hospital", "medical center",
	"treatment center", "recovery center", "halfway", "group home", "sober living", "nursing home", "hostel", "motel",
	"hotel", "courthouse", "sheriff", "police", "p o box", "po box", "pob", "care of", "c o", "dormitory", "barracks",
	"unknown", "refused", "blk", "block of", "rv park", "campground", "encampment", "underpass",
}

func institutional(ws []string) bool {
	text := " " + strings.Join(ws, " ") + " "
	for _, w := range institutions {
		if strings.Contains(text, " "+w+" ") {
			return true
		}
	}
	return false
}
