# NAME, UUID, HOST/NAME or HOST/UUID. With HOST, the guest has to be there.
import {
  to = virtmigrate_domain.web
  id = "alpha/web"
}
