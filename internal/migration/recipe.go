package migration

type recipe struct{}
