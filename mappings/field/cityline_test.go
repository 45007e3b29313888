package field

import "testing"

func TestReadCityLine(t *testing.T) {
	for in, want := range map[string]CityLine{
		"Maple Valley ZZ 00503":     {City: "Maple Valley", State: "ZZ", PostalCode: "00503"},
		"Riverton, ZZ  00501-1234":  {City: "Riverton", State: "ZZ", PostalCode: "00501-1234"},
		"Riverton, zz":              {City: "Riverton", State: "ZZ"},
		"St. Paul MN 551011234":     {City: "St. Paul", State: "MN", PostalCode: "551011234"},
		"ZZ 00501":                  {State: "ZZ", PostalCode: "00501"},
		"ZZ":                        {State: "ZZ"},
		"00501":                     {PostalCode: "00501"},
		"Cedar Falls":               {City: "Cedar Falls"},
		"Cedar Falls 00502":         {City: "Cedar Falls", PostalCode: "00502"},
		"UNK":                       {},
		"":                          {},
		"Lake 7 Station, ZZ, 00504": {City: "Lake 7 Station", State: "ZZ", PostalCode: "00504", Findings: []Finding{{}}},
	} {
		got := ReadCityLine(in)
		if got.City != want.City || got.State != want.State || got.PostalCode != want.PostalCode || len(got.Findings) != len(want.Findings) {
			t.Errorf("%q: got %+v, want %+v", in, got, want)
		}
	}
}
