package attack

func accessFamilies() []Family { return nil }
