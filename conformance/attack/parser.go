package attack

func parserFamilies() []Family { return nil }
