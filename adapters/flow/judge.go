package flow

import (
	"slices"

	"github.com/handoff-health/handoff/mappings"
)

// Known is what is kept of a record: its newest version and what restricts it.
type Known struct {
	Version string
	Digest  string
	Ties    []string // digests of the other contents with this version
	// Restrictions hold until a version later than Held lifts them. Held is
	// never empty while there are any.
	Restrictions Restrictions
	Held         string
	// Lifted is the Held, and LiftedDigest the content, of restrictions that a
	// newer version lifted: the same old seal does not close the record again.
	Lifted, LiftedDigest string
}

const (
	maxTies = 16
	// never is later than every version: a restriction of unknown time that
	// nothing lifts.
	never = "~"
)

// First is what is known after the first version of a record. received is when
// it came, as a version is written; "" if nobody can say.
func First(res *mappings.Result, r Restrictions, received string) Known {
	k := Known{Version: res.Version, Digest: res.Digest, Restrictions: r}
	held := ""
	if bare(res) {
		k.Version, held = "", res.Version
	}
	k.hold(res, r, received, held)
	return k
}

// bare says that a result seals its record, at a time, and tells nothing of it.
func bare(res *mappings.Result) bool {
	return res.Action == mappings.Seal && len(res.Resources) == 0 && res.Version != ""
}

// seal adds a seal that tells nothing of its record. What is known of the content
// stays the newest there is: content that comes late, or is newer than the seal
// where nothing may lift that, is taken up and restricted.
func (k Known) seal(res *mappings.Result, r Restrictions) (Outcome, Known) {
	added := r &^ k.Restrictions
	switch {
	case added == 0 && res.Version <= k.Held:
		return Duplicate, k
	case res.Version <= k.Lifted:
		return Superseded, k
	}
	k.Restrictions |= r
	k.Held = max(k.Held, k.Version, res.Version)
	return Updated, k
}

// Judge judges a result, with its own restrictions r, against what is known of
// its record: Updated if it is newer, Duplicate if its content is known,
// Superseded if it is older. Of two contents with one version the more
// restricted is the newer, then the one with the greater digest; of two without
// versions the one that comes later. A content that was there before (ties) is
// none, so that a replay changes nothing.
//
// Restrictions fail closed. One of the same version is added in any order of
// arrival; a seal is added even if its version is older, and any restriction if
// it has no version. What is known to restrict the record is lifted only by a
// version later than Held: impose is what the caller must add to the result's
// resources (see Impose). next is what is known afterwards.
func Judge(res *mappings.Result, r Restrictions, k Known, received string) (o Outcome, impose Restrictions, next Known) {
	if bare(res) {
		o, next = k.seal(res, r)
		return o, 0, next
	}
	added, missing := r&^k.Restrictions, k.Restrictions&^r
	lifts := missing != 0 && res.Version > k.Held
	o = k.compare(res, added, missing, lifts)
	next = k
	switch o {
	case Updated:
		if !lifts {
			impose = missing
		}
		next = k.update(res, r, impose, lifts, received)
	case Duplicate:
		if res.Digest == k.Digest {
			next.Version = max(k.Version, res.Version)
		}
	case Superseded:
		if res.Version == k.Version && len(k.Ties) < maxTies {
			next.Ties = append(slices.Clone(k.Ties), res.Digest)
		}
	}
	return o, impose, next
}

func (k *Known) compare(res *mappings.Result, added, missing Restrictions, lifts bool) Outcome {
	same := res.Version == k.Version
	undone := res.Digest == k.LiftedDigest || res.Version != "" && res.Version <= k.Lifted
	switch {
	case res.Digest == k.Digest && lifts:
		return Updated
	case res.Digest == k.Digest && res.Version >= k.Version, same && slices.Contains(k.Ties, res.Digest):
		return Duplicate
	case same && added != 0:
		return Updated
	case !undone && res.Action == mappings.Seal && added&labels != 0, !undone && added != 0 && res.Version == "":
		return Updated
	case same && res.Version == "":
		return Updated
	case same && missing != 0:
		return Superseded
	case same && res.Digest > k.Digest, res.Version > k.Version:
		return Updated
	}
	return Superseded
}

func (k *Known) update(res *mappings.Result, r, impose Restrictions, lifts bool, received string) Known {
	next := Known{Version: max(res.Version, k.Version), Digest: res.Digest, Restrictions: r | impose, Lifted: k.Lifted, LiftedDigest: k.LiftedDigest}
	if next.Version == k.Version {
		next.Ties = slices.Clone(k.Ties)
		if len(next.Ties) < maxTies {
			next.Ties = append(next.Ties, k.Digest)
		}
	}
	held := ""
	if impose != 0 {
		held = k.Held
	}
	if lifts {
		next.Lifted, next.LiftedDigest = k.Held, k.Digest
	}
	next.hold(res, r, received, held)
	return next
}

// hold sets until when the restrictions hold.
func (k *Known) hold(res *mappings.Result, r Restrictions, received, held string) {
	if k.Restrictions == 0 {
		k.Held = ""
		return
	}
	k.Held = max(k.Version, held)
	if res.Version == "" && r != 0 {
		if received == "" {
			received = never
		}
		k.Held = max(k.Held, received)
	}
}

// A Shared is what is known of a resource that several records share.
type Shared struct {
	Version, Digest string
	Restrictions    Restrictions
	By              string // the record that told this version; "" if several did
}

// Repeat notes that a record told the known content too.
func (k *Shared) Repeat(version, by string) {
	switch {
	case version > k.Version:
		k.Version, k.By = version, by
	case version == k.Version && by != k.By:
		k.By = ""
	}
}

// Replaces says whether a record's version of a shared resource replaces the
// known one, and with which restrictions. The newer wins, of one version the
// more restricted, then the greater digest. A seal of the record that told the
// known version replaces it whatever its time.
func Replaces(x *mappings.Resource, by string, k Shared) (bool, Restrictions) {
	r := Of(x)
	if x.Digest == k.Digest {
		return false, r
	}
	known := k.Restrictions &^ Undated
	added, missing := r&^known, known&^r
	same := x.SourceVersion == k.Version
	const minor = Restricted | Juvenile
	switch {
	case added != 0 && (same || by == k.By):
		return true, r
	// Who was a minor stays one until a birth date says otherwise, in whichever
	// order the two come.
	case missing&minor != 0 && x.Type == "Patient" && !dated(x):
		return false, r
	case added&minor != 0 && x.Type == "Patient" && dated(x) && k.Restrictions&Undated != 0:
		return true, r
	case added != 0 && x.SourceVersion == "":
		return false, r // of unknown time, and another record told the known version
	case missing != 0 && same:
		return false, r
	}
	return x.Supersedes(k.Version, k.Digest), r
}
