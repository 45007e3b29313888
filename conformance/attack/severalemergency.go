package attack

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// EmergencyCrossing is an emergency that is declared at one gateway. It opens at the
// other what a program under 42 CFR Part 2 has, from the next request on, and is put on
// record once, however many answers of both leave at the same time; the review of it is
// closed once; and its end counts at the other at once. The person ada must be linked to
// a record of the program.
func EmergencyCrossing(to func(place int)) Crossing {
	return Crossing{"an emergency that one was told of opens, is on record and ends at the other", emergencyCrosses(to)}
}

// What the physician reads of ada while the emergency stands.
var emergencyQueries = []string{"Condition?patient={ada}", "Observation?patient={ada}", "CarePlan?patient={ada}", "Condition?patient={ada}&_count=1"}

func emergencyCrosses(to func(int)) func(*Target) error {
	return func(t *Target) error {
		for round, from := range []int{AtA, AtB} {
			if err := t.emergency(to, from); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		return nil
	}
}

func (t *Target) emergency(to func(int), from int) error {
	to(from)
	physician, err := t.tokenOf("physician", "")
	if err != nil {
		return err
	}
	open := func(place int) (int, error) {
		to(place)
		a, err := t.get(physician, t.fill(emergencyQueries[0]))
		if err != nil || !a.ok() {
			return 0, fmt.Errorf("%v, %w", a, err)
		}
		return len(a.entries()), nil
	}
	before, err := open(1 - from)
	if err != nil {
		return err
	}
	to(from)
	a, err := t.operate(physician, t.Records["ada"]+"/$break-glass", parameter("reason", "valueString", "unresponsive"), parameter("consentCannotBeObtained", "valueBoolean", true))
	if err != nil || a.status != http.StatusCreated {
		return fmt.Errorf("declaring: %v, %w", a, err)
	}
	declared := a.text("id")
	refs, err := t.readTogether(to, physician)
	if err != nil {
		return err
	}
	for place := range 2 {
		if n, err := open(place); err != nil || n <= before {
			return fmt.Errorf("gateway %d shows %d, as many as before the emergency: %w", place, n, err)
		}
	}
	if err := t.onRecord(to, from, declared, refs); err != nil {
		return err
	}
	to(1 - from)
	if a, err = t.operate(physician, "Task/"+declared+"/$cancel", parameter("reason", "valueString", "she can be asked again")); err != nil || !a.ok() {
		return fmt.Errorf("ending it: %v, %w", a, err)
	}
	for _, place := range []int{from, 1 - from} {
		if n, err := open(place); err != nil || n != before {
			return fmt.Errorf("gateway %d shows %d after the emergency has ended, %d before: %w", place, n, before, err)
		}
	}
	return nil
}

// readTogether has both gateways answer all queries at once, several times, and returns
// what they showed.
func (t *Target) readTogether(to func(int), token string) ([]string, error) {
	to(InTurn)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var refs []string
	var errs []error
	for range sides {
		for _, query := range emergencyQueries {
			wg.Go(func() {
				a, err := t.get(token, t.fill(query))
				if err == nil && !a.ok() {
					err = fmt.Errorf("%s: %s", query, a)
				}
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
				if err == nil {
					refs = append(refs, a.entries()...)
				}
			})
		}
	}
	wg.Wait()
	slices.Sort(refs)
	return slices.Compact(refs), errors.Join(errs...)
}

// onRecord finds one record of an emergency, which names all that was shown of the
// program's, and one review, which of several who close it at both gateways one closes.
func (t *Target) onRecord(to func(int), place int, declared string, shown []string) error {
	desk, err := t.tokenOf("program desk", "")
	if err != nil {
		return err
	}
	to(place)
	a, err := t.get(desk, "Communication?category=part2-emergency-record-2.51(c)")
	if err != nil || !a.ok() {
		return fmt.Errorf("%v, %w", a, err)
	}
	var records []string
	for _, ref := range a.entries() {
		one, err := t.get(desk, ref)
		if err != nil || !one.ok() {
			return fmt.Errorf("%v, %w", one, err)
		}
		if strings.Contains(string(one.body), "Task/"+declared) {
			records = append(records, string(one.body))
		}
	}
	if len(records) != 1 {
		return breach("%d records of one emergency: %v", len(records), records)
	}
	for _, ref := range shown {
		if _, id, _ := strings.Cut(ref, "/"); strings.HasPrefix(id, "w-") && !strings.Contains(records[0], ref) {
			return breach("%s went out and is not on record: %s", ref, records[0])
		}
	}
	to(1 - place)
	if a, err = t.get(desk, "Task?status=requested"); err != nil || len(a.entries()) != 1 {
		return fmt.Errorf("one review waits, not these: %v, %w", a, err)
	}
	review := a.entries()[0]
	to(InTurn)
	answers, err := atOnce(func() (*answer, error) {
		return t.operate(desk, review+"/$complete-review", parameter("outcome", "valueCode", "justified"))
	})
	if err != nil {
		return err
	}
	for _, a := range answers {
		if !a.ok() && a.status != http.StatusConflict && a.status != http.StatusPreconditionFailed {
			return fmt.Errorf("closing the review: %s", a)
		}
	}
	if n := taken(answers); n != 1 {
		return breach("a review is closed %d times", n)
	}
	to(place)
	if a, err = t.get(desk, "Task?status=requested"); err != nil || len(a.entries()) != 0 {
		return fmt.Errorf("a review that was closed waits at the other gateway: %v, %w", a, err)
	}
	return nil
}
