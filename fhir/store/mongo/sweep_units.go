package mongo

import "time"

// orphanAge is how old a version must be before the sweep asks whether a head reaches it.
const orphanAge = 10 * time.Minute
