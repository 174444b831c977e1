//! `RoleService`: the roles of the caller's tenant.

use svc_api::iam::v1::{
    AssignRolesReply, AssignRolesRequest, CreateRoleRequest, DeleteRoleRequest, ListRolesReply,
    ListRolesRequest, RetrieveRoleRequest, Role, UpdateRoleRequest, role_service_server::RoleService,
};
use svc_kit::{
    Caller, Problem, RequestContext,
    message::{self, Page},
};
use tonic::{Request, Response, Status};

use super::{Handlers, convert};
use crate::accounts::RoleChange;

#[tonic::async_trait]
impl RoleService for Handlers {
    async fn create_role(&self, request: Request<CreateRoleRequest>) -> Result<Response<Role>, Status> {
        let caller = Caller::of(&request)?;
        let CreateRoleRequest { name, description, permission_ids } = request.into_inner();
        let role = self.accounts.create_role(&caller, name, description, permission_ids).await?;
        Ok(Response::new(convert::role(role)))
    }

    async fn retrieve_role(&self, request: Request<RetrieveRoleRequest>) -> Result<Response<Role>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.get_ref().id)?;
        let found = self.accounts.store.all_roles(caller.tenant).await.map_err(Problem::status)?;
        let role = found.into_iter().find(|role| role.id == id);
        let role = role.ok_or_else(|| Problem::not_found("There is no such role in this tenant."))?;
        Ok(Response::new(convert::role(role)))
    }

    async fn list_roles(
        &self,
        request: Request<ListRolesRequest>,
    ) -> Result<Response<ListRolesReply>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let page = Page::read(request.page_size, &request.page_token)?;
        let mut roles = self.accounts.store.all_roles(caller.tenant).await.map_err(Problem::status)?;
        roles.retain(|role| page.last.is_none_or(|last| role.id > last));
        let (roles, next_page_token) = page.cut(roles, |role| role.id);
        Ok(Response::new(ListRolesReply {
            roles: roles.into_iter().map(convert::role).collect(),
            next_page_token,
        }))
    }

    async fn update_role(&self, request: Request<UpdateRoleRequest>) -> Result<Response<Role>, Status> {
        let caller = Caller::of(&request)?;
        let UpdateRoleRequest { id, role, update_mask } = request.into_inner();
        let id = message::id("id", &id)?;
        convert::only(update_mask.as_ref(), &["name", "description", "permission_ids"])?;
        let (role, paths) = (role.unwrap_or_default(), update_mask.unwrap_or_default().paths);
        let changes = |path: &str| paths.iter().any(|changed| changed == path);
        let change = RoleChange {
            name: changes("name").then_some(role.name),
            description: changes("description").then_some(role.description),
            permissions: changes("permission_ids").then_some(role.permission_ids),
        };
        Ok(Response::new(convert::role(self.accounts.update_role(&caller, id, change).await?)))
    }

    async fn delete_role(&self, request: Request<DeleteRoleRequest>) -> Result<Response<()>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let id = message::id("id", &request.get_ref().id)?;
        self.accounts.delete_role(&caller, id, &context).await?;
        Ok(Response::new(()))
    }

    async fn assign_roles(
        &self,
        request: Request<AssignRolesRequest>,
    ) -> Result<Response<AssignRolesReply>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let AssignRolesRequest { user_id, role_ids } = request.into_inner();
        let user = message::id("userId", &user_id)?;
        let wanted = convert::ids("roleIds", &role_ids)?;
        let roles = self.accounts.assign_roles(&caller, user, &wanted, &context).await?;
        Ok(Response::new(AssignRolesReply { roles: roles.into_iter().map(convert::role).collect() }))
    }
}
