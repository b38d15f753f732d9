package migration

// switchedOff are rules that are not in force, for the tests that show what each of them is for. Nothing else ever
// sets it.
var switchedOff struct {
	// token: a stopped half goes on although nothing proves that the guest never ran elsewhere.
	token bool
	// boot: a token counts also where a power cut may have brought it back.
	boot bool
	// resumed: what was seen to start on the destination is forgotten.
	resumed bool
	// record: begin's description is not asked whose record it has, and neither are record and token later.
	record bool
}
