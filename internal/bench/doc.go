// Package bench repeats the comparison of 2009 that this project descends from: it moves one guest to and fro
// by several ways, in turn, and says what each costs in time and in CPU.
//
// A [Case] is one way. [Run] warms up, then takes every case once in each round, so that what the machine does
// besides falls on all of them alike. Ratios are medians of the ratios within a round, since two moves a minute
// apart say little about one another on a busy machine. When the cheapest case, plain, varies too much itself,
// the run decides nothing, and says so.
//
// [Options] are the engine's cases; whoever runs them says how else a guest may be moved, and measured. What is made
// of the samples is written three times from one [Results]: as a table, as JSON and as a page with plots.
package bench
