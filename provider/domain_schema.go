package main

import (
	"context"
	"fmt"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// canonicalUUID is the form libvirt prints, and so the only one that equals what is read back.
var canonicalUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (r *domainResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	// Neither of the two ever touches the guest: a replaced resource forgets one guest and adopts another.
	identity := []planmodifier.String{stringplanmodifier.UseStateForUnknown(), stringplanmodifier.RequiresReplaceIfConfigured()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The host on which an existing guest runs. Changing `host` moves the guest there, live. " +
			"The resource never creates, stops or deletes a guest: creating it adopts a guest that is there, destroying it forgets the guest and leaves it running. " +
			"Never let another provider manage the same guest's existence at the same time.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Optional: true, Computed: true, PlanModifiers: identity,
				Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "Name of the guest, as libvirt knows it. Give `name` or `uuid`; with both, they must belong to one guest. " +
					"Another name means another guest: the first is forgotten, and left as it is.",
			},
			"uuid": schema.StringAttribute{
				Optional: true, Computed: true, PlanModifiers: identity,
				Validators:          []validator.String{stringvalidator.RegexMatches(canonicalUUID, "must be a UUID in lower case such as 6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0")},
				MarkdownDescription: "UUID of the guest, in lower case. Needed where several guests bear one name.",
			},
			"host": schema.StringAttribute{
				Required:            true,
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "Name, in the provider's `hosts`, of the host on which the guest shall run. After each refresh: the host it does run on.",
			},
			"state": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "State of the guest in libvirt's words, such as `running (booted)` or `paused (user)`.",
			},
			"planned_migration": schema.SingleNestedAttribute{
				Computed: true, Attributes: plannedAttributes(),
				MarkdownDescription: "What the latest plan with a move was going to do. Null when this resource has not moved the guest.",
			},
			"last_migration": schema.SingleNestedAttribute{
				Computed: true, Attributes: resultAttributes(),
				MarkdownDescription: "What the latest move by this resource cost. A figure that could not be had is null. Null when this resource has not moved the guest.",
			},
		},
		Blocks: map[string]schema.Block{"migration": migrationBlock(), "timeouts": timeoutsBlock(ctx)},
	}
}

func timeoutsBlock(ctx context.Context) schema.Block {
	standard := fmt.Sprintf("a duration such as `30m` or `2h45m`. Default: %.0f minutes beyond what the copy may take by `migration.convergence.timeout_seconds_per_gib`.", migration.DefaultTimeout.Minutes())
	block := timeouts.Block(ctx, timeouts.Opts{
		Create: true, CreateDescription: "Bound of adopting the guest, with the move that this may need: " + standard,
		Update: true, UpdateDescription: "Bound of a move, with the wait for a free place: " + standard,
	})
	nested, ok := block.(schema.SingleNestedBlock)
	if !ok {
		return block
	}
	nested.MarkdownDescription = "How long a move may take. When the time passes before the guest has switched over, the move is aborted and the guest goes on where it was."
	for name, attribute := range nested.Attributes {
		if text, ok := attribute.(schema.StringAttribute); ok {
			text.Validators = []validator.String{bound{}}
			nested.Attributes[name] = text
		}
	}
	return nested
}

func texts[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func attributeTypes(attributes map[string]schema.Attribute) map[string]attr.Type {
	out := map[string]attr.Type{}
	for name, a := range attributes {
		out[name] = a.GetType()
	}
	return out
}
