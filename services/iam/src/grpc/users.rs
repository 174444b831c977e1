//! `IamService`: the users of the caller's tenant.

use svc_api::iam::v1::{
    CreateUserRequest, DeleteUserRequest, InviteUserRequest, ListUsersReply, ListUsersRequest,
    RetrieveUserRequest, UpdateUserRequest, User, iam_service_server::IamService,
};
use svc_kit::{
    Caller, Problem, RequestContext, Secret,
    message::{self, Page},
};
use tonic::{Request, Response, Status};

use super::{Handlers, convert};
use crate::accounts::NewUser;

#[tonic::async_trait]
impl IamService for Handlers {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let CreateUserRequest { email, name, password, role_ids } = request.into_inner();
        let roles = convert::ids("roleIds", &role_ids)?;
        let password = (!password.is_empty()).then(|| Secret::new(password));
        let user =
            self.accounts.create_user(&caller, NewUser { email, name, password, roles }, &context).await?;
        Ok(Response::new(convert::user(user)))
    }

    async fn retrieve_user(&self, request: Request<RetrieveUserRequest>) -> Result<Response<User>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.get_ref().id)?;
        Ok(Response::new(convert::user(self.accounts.user(caller.tenant, id).await?)))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<User>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let UpdateUserRequest { id, user, update_mask } = request.into_inner();
        let id = message::id("id", &id)?;
        convert::only(update_mask.as_ref(), &["name"])?;
        let name = user.unwrap_or_default().name;
        Ok(Response::new(convert::user(self.accounts.rename_user(&caller, id, &name, &context).await?)))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<()>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let id = message::id("id", &request.get_ref().id)?;
        self.accounts.remove_user(&caller, id, &context).await?;
        Ok(Response::new(()))
    }

    async fn invite_user(&self, request: Request<InviteUserRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let InviteUserRequest { email, role_ids } = request.into_inner();
        let roles = convert::ids("roleIds", &role_ids)?;
        self.accounts.invite_user(&caller, &email, roles).await?;
        Ok(Response::new(()))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersReply>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let page = Page::read(request.page_size, &request.page_token)?;
        let found = self.accounts.store.users_in(caller.tenant, page.last, page.to_read()).await;
        let (users, next_page_token) = page.cut(found.map_err(Problem::status)?, |user| user.id);
        Ok(Response::new(ListUsersReply {
            users: users.into_iter().map(convert::user).collect(),
            next_page_token,
        }))
    }
}
