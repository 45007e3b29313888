package flow

import "github.com/handoff-health/handoff/mappings"

// Compare judges a result against the newest known version of its record:
// Updated if it is newer, Duplicate if its content is known, Superseded if it is
// older. Of two contents with one version the greater digest is the newer; of
// two without versions the one that comes later, and a content that was there
// before (ties) is none, so that a replay changes nothing.
func Compare(res *mappings.Result, version, digest string, ties []string) Outcome {
	if res.Digest == digest && res.Version == version {
		return Duplicate
	}
	if res.Version == version {
		for _, d := range ties {
			if d == res.Digest {
				return Duplicate
			}
		}
	}
	switch {
	case res.Version == "" && version == "":
		return Updated
	case res.Version != version:
		if res.Version < version {
			return Superseded
		}
		if res.Digest == digest {
			return Duplicate
		}
		return Updated
	case res.Digest > digest:
		return Updated
	}
	return Superseded
}
