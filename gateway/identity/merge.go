package identity

import "context"

// Merged is the method of a link that a source's own merge gives.
const Merged = "merge"

// Merge takes in that a connected system joined two Patients here, both of its
// own, or parted them again. Joined, they are one person: what is asked of one
// reaches the other, and a Consent of one speaks of both. Parted, they are two at
// once, and no rule joins them again: only a later merge, or a reviewer.
//
// A reviewer's word and a roster's stand against it: kept says that they say
// otherwise. reason is for reviewers.
func (l *Links) Merge(ctx context.Context, survivor, loser string, joined bool, reason string) (kept bool, err error) {
	link := between(survivor, loser)
	link.State, link.Method, link.Reason = Confirmed, Merged, reason
	if !joined {
		link.State = Undone
	}
	_, err = l.change(ctx, link, func(head Link, exists bool) (Link, bool, error) {
		if exists && (head.Method == "manual" || head.Method == "roster") && head.State != Candidate {
			kept = head.State != link.State
			return Link{}, false, nil
		}
		return link, !exists || head.State != link.State || head.Method != Merged, nil
	})
	return kept, err
}
