# web has its disk in a file of its host. The move takes the file along.
resource "virtmigrate_domain" "web" {
  name = "web"
  host = "beta"

  migration {
    storage       = "copy"
    source_images = "delete" # once the guest runs on the copy
    progress_file = "${path.root}/web.progress"
  }

  timeouts {
    update = "2h"
  }
}
