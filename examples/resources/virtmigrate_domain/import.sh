# By name, by UUID, or with the host on which the guest has to be.
terraform import virtmigrate_domain.web web
terraform import virtmigrate_domain.web 6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0
terraform import virtmigrate_domain.web alpha/web
