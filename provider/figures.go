package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// object turns one of the engine's values into the object that state carries, by the names of its JSON
// form, which are the names both faces show. A name that the schema lacks is left out rather than made an
// error: by then the guest has moved, and a test keeps schema and engine together.
func object(ctx context.Context, value any, typ types.ObjectType) (types.Object, error) {
	null := types.ObjectNull(typ.AttrTypes)
	text, err := json.Marshal(value)
	if err != nil {
		return null, fmt.Errorf("encode %T: %w", value, err)
	}
	raw, err := tfprotov6.RawState{JSON: text}.UnmarshalWithOpts(typ.TerraformType(ctx), tfprotov6.UnmarshalOpts{
		ValueFromJSONOpts: tftypes.ValueFromJSONOpts{IgnoreUndefinedAttributes: true},
	})
	if err != nil {
		return null, fmt.Errorf("convert %T: %w", value, err)
	}
	converted, err := typ.ValueFromTerraform(ctx, raw)
	if err != nil {
		return null, fmt.Errorf("convert %T: %w", value, err)
	}
	obj, ok := converted.(basetypes.ObjectValue)
	if !ok {
		return null, fmt.Errorf("convert %T: it became a %T", value, converted)
	}
	return obj, nil
}
