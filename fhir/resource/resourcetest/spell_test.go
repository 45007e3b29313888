package resourcetest

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestWhatIsSpelledOutSaysTheSame(t *testing.T) {
	for _, raw := range []string{`{"code":"F11.20","I\"o":[1,"\\",true,"\u00e9o1"],"o":"one\\1"}`, `"1"`, `[1e1]`} {
		var want, got any
		if err := json.Unmarshal([]byte(raw), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(SpellOut([]byte(raw)), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", SpellOut([]byte(raw)), got, err)
		}
	}
}
