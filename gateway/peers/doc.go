// Package peers says which gateways serve from one store, and that they hold the
// same keys.
//
//	CheckKeys ─▶ Join: member fact ─▶ ConfirmKeys ─▶ Stay ─▶ beats while others are there
//	    └─ another site key: refused      └─ refused: the fact goes    └─▶ Others: limits are shared
//
// A member is named by its audit trail, which one process at a time can have open;
// so a gateway that was killed and starts again is the same member, and whoever
// accounts for disclosures knows whose trails there are. One that was refused, or could not listen, has served
// nothing and leaves no fact. A gateway alone writes at its start and at its end.
//
// Whether a member is alive is judged by what a process sees change, by its own
// monotonic clock: clocks are not compared. In doubt it is alive.
//
// The package decides nothing about requests. cmd/handoff calls it; package limit
// asks it through a function.
package peers
