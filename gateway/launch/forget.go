package launch

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

// Forget ends what was begun with an expunged Patient ("Patient/…") in context: the
// choices of people who are at a page, which show who it is, and launches that wait
// for their app. Tokens keep the id, which leads nowhere.
func Forget(ctx context.Context, facts store.Facts, patient string) error {
	for _, prefix := range []string{flowKey, contextKey} {
		const page = 200
		for after := ""; ; {
			fs, err := facts.Scan(ctx, prefix, after, page)
			if err != nil {
				return fmt.Errorf("forget launches: %w", err)
			}
			for _, f := range fs {
				after = f.Key
				var of struct{ Patient string } // of chosen and of registered
				if err := json.Unmarshal(f.Value, &of); err != nil {
					return fmt.Errorf("forget launches: %w: %w", store.ErrDamaged, err)
				}
				if of.Patient != patient {
					continue
				}
				if err := facts.Delete(ctx, f.Key); err != nil {
					return fmt.Errorf("forget launches: %w", err)
				}
			}
			if len(fs) < page {
				break
			}
		}
	}
	return nil
}
