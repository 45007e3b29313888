package store

import "context"

// EachFact calls do for every fact under a prefix that is there when it comes to it, in
// order of key, until do fails.
func EachFact(ctx context.Context, facts Facts, prefix string, do func(Fact) error) error {
	const most = 500
	after := ""
	for {
		page, err := facts.Scan(ctx, prefix, after, most)
		if err != nil {
			return err
		}
		for _, f := range page {
			if err := do(f); err != nil {
				return err
			}
			after = f.Key
		}
		if len(page) < most {
			return nil
		}
	}
}
