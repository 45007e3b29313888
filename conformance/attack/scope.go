package attack

func scopeFamilies() []Family { return nil }
