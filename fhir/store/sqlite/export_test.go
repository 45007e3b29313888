package sqlite

import "time"

// SetSearchFor sets how long a search may take; 0 is what it is otherwise.
func (db *DB) SetSearchFor(d time.Duration) {
	if db.searching = d; d == 0 {
		db.searching = searchFor
	}
}
