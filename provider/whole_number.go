package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// wholeNumber is what a number of the configuration has to be. Such attributes are of the type Number and not Int64:
// of 2.5 for an Int64 the framework says that this is always an error in the provider, and not where it stands.
type wholeNumber struct{ least, most int64 }

func wholeFrom(least, most int64) []validator.Number {
	return []validator.Number{wholeNumber{least, most}}
}

func (w wholeNumber) Description(context.Context) string {
	return fmt.Sprintf("must be a whole number, %d to %d", w.least, w.most)
}

func (w wholeNumber) MarkdownDescription(ctx context.Context) string { return w.Description(ctx) }

func (w wholeNumber) ValidateNumber(ctx context.Context, req validator.NumberRequest, resp *validator.NumberResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	f := req.ConfigValue.ValueBigFloat()
	if n, _ := f.Int64(); !f.IsInt() || f.IsInf() || n < w.least || n > w.most {
		resp.Diagnostics.AddAttributeError(req.Path, "Number Refused", fmt.Sprintf("%s is %s, but %s.", req.Path, f.Text('g', 21), w.Description(ctx)))
	}
}

// integer is a number that was validated; 0 stands for null.
func integer(n types.Number) int64 {
	if n.IsNull() || n.IsUnknown() {
		return 0
	}
	i, _ := n.ValueBigFloat().Int64()
	return i
}
