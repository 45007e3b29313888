package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// A field is what a document has under a name. What is not of it the driver may still
// read, as nothing or as another value, and no query finds it.
type field struct {
	is       []bson.Type
	optional bool
}

var (
	textField   = field{is: []bson.Type{bson.TypeString}}
	numberField = field{is: []bson.Type{bson.TypeInt64, bson.TypeInt32, bson.TypeDouble}}
	flagField   = field{is: []bson.Type{bson.TypeBoolean}}
	listField   = field{is: []bson.Type{bson.TypeArray, bson.TypeNull}} // an empty one is written as nothing
	bytesField  = field{is: []bson.Type{bson.TypeBinary}}
	intentField = field{is: []bson.Type{bson.TypeEmbeddedDocument}}
)

func perhaps(f field) field { f.optional = true; return f }

// forms are the fields of those documents that are found by more than their id, or
// whose lost fields mean something else.
var forms = map[collection]map[string]field{
	heads: {
		"v": numberField, "n": textField, "d": flagField, "ix": perhaps(listField), "cl": perhaps(listField), "a": perhaps(textField),
		"x": perhaps(intentField), "xt": perhaps(textField), "e": perhaps(flagField), "g": perhaps(numberField),
	},
	facts:     {"b": bytesField, "v": numberField, "e": numberField, "p": perhaps(listField), "sum": numberField},
	positions: {"s": textField, "r": textField, "n": numberField},
	units: {
		"s": textField, "o": perhaps(flagField), "c": numberField, "ts": listField, "m": listField, "cl": perhaps(listField), "at": numberField,
	},
	numbers: {"n": numberField},
}

// misformed says what is wrong with the form of a document, "" if nothing is.
func misformed(of collection, raw bson.Raw) string {
	form := forms[of]
	for _, name := range slices.Sorted(maps.Keys(form)) {
		f := form[name]
		v, err := raw.LookupErr(name)
		switch {
		case err != nil && f.optional:
		case err != nil:
			return fmt.Sprintf("its field %q is not there", name)
		case !slices.Contains(f.is, v.Type):
			return fmt.Sprintf("its field %q is of type %s, not %s", name, v.Type, f.is[0])
		}
	}
	if of != heads {
		return ""
	}
	var h headDoc
	if err := bson.Unmarshal(raw, &h); err == nil && (!h.State.sound() || h.State.Version > 0 && h.Gone > 0 && !h.Expunging) {
		return fmt.Sprintf("it says that its version is %d, and the rest of it says otherwise", h.State.Version)
	}
	return ""
}

// checkUnitForms looks for units that nobody ends, nor forgets: without a status, or with
// fields by which no query finds them.
func (c *checker) checkUnitForms(ctx context.Context) error {
	return c.each(ctx, units, nil, func(_ context.Context, page func(any) error) error {
		var us []unitDoc
		err := page(&us)
		for _, u := range us {
			if !slices.Contains([]string{pending, committed, aborted}, u.Status) && !u.Open {
				c.report(store.Finding{Kind: store.FoundDamaged, What: "unit " + u.ID, Detail: "its status is none that a unit has"})
			}
		}
		return err
	})
}

// headsOf is that of the store where heads can be read. One that cannot is there, and
// lists whatever anybody says that it lists: it is reported where heads are looked at.
func (c *checker) headsOf(ctx context.Context, keys []string) (map[string]*headDoc, error) {
	hs, err := c.DB.headsOf(ctx, keys)
	if !errors.Is(err, store.ErrDamaged) {
		return hs, err
	}
	hs = map[string]*headDoc{}
	for _, key := range keys {
		h, err := c.headOf(ctx, key)
		switch {
		case errors.Is(err, store.ErrDamaged):
			hs[key] = &headDoc{ID: key, Expunging: true, State: state{Version: 1}}
		case err != nil:
			return nil, err
		case h != nil:
			hs[key] = h
		}
	}
	return hs, nil
}
