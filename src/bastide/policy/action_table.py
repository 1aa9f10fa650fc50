"""Which IAM actions an operation needs where the rule `signing name:Operation` does not say it.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
Each value: `action resource` pairs; `resources.py` knows the resource words. A third word is the
member that must be set, or with `!` must not be, for the action to be needed. Operations that need
nothing have an empty value.
"""

_ANSWERED = (
    "bedrock:InvokeModel model !stream",
    "bedrock:InvokeModelWithResponseStream model stream",
)
NEEDS: dict[str, tuple[str, ...]] = {
    "sts.GetCallerIdentity": (),
    "sts.GetSessionToken": (),
    "iam.CreateUser": ("iam:CreateUser iam", "iam:TagUser iam Tags"),
    "iam.CreateRole": ("iam:CreateRole iam", "iam:TagRole iam Tags"),
    "iam.CreatePolicy": ("iam:CreatePolicy iam", "iam:TagPolicy iam Tags"),
    "logs.CreateLogGroup": ("logs:CreateLogGroup logs", "logs:TagResource log-group tags"),
    "sts.AssumeRole": (
        "sts:AssumeRole role-arn",
        "sts:TagSession role-arn Tags",
        "sts:SetSourceIdentity role-arn SourceIdentity",
    ),
    "s3.ListBuckets": ("s3:ListAllMyBuckets *",),
    "s3.CreateBucket": ("s3:CreateBucket bucket",),
    "s3.DeleteBucket": ("s3:DeleteBucket bucket",),
    "s3.HeadBucket": ("s3:ListBucket bucket",),
    "s3.ListObjects": ("s3:ListBucket bucket",),
    "s3.ListObjectsV2": ("s3:ListBucket bucket",),
    "s3.ListObjectVersions": ("s3:ListBucketVersions bucket",),
    "s3.ListMultipartUploads": ("s3:ListBucketMultipartUploads bucket",),
    "s3.GetBucketLocation": ("s3:GetBucketLocation bucket",),
    "s3.GetBucketEncryption": ("s3:GetEncryptionConfiguration bucket",),
    "s3.PutBucketEncryption": ("s3:PutEncryptionConfiguration bucket",),
    "s3.DeleteBucketEncryption": ("s3:PutEncryptionConfiguration bucket",),
    "s3.GetBucketAccelerateConfiguration": ("s3:GetAccelerateConfiguration bucket",),
    "s3.GetBucketCors": ("s3:GetBucketCORS bucket",),
    "s3.PutBucketCors": ("s3:PutBucketCORS bucket",),
    "s3.DeleteBucketCors": ("s3:PutBucketCORS bucket",),
    "s3.GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration bucket",),
    "s3.PutBucketLifecycleConfiguration": ("s3:PutLifecycleConfiguration bucket",),
    "s3.DeleteBucketLifecycle": ("s3:PutLifecycleConfiguration bucket",),
    "s3.GetBucketNotificationConfiguration": ("s3:GetBucketNotification bucket",),
    "s3.PutBucketNotificationConfiguration": ("s3:PutBucketNotification bucket",),
    "s3.GetBucketReplication": ("s3:GetReplicationConfiguration bucket",),
    "s3.PutBucketReplication": ("s3:PutReplicationConfiguration bucket",),
    "s3.DeleteBucketReplication": ("s3:PutReplicationConfiguration bucket",),
    "s3.DeleteBucketTagging": ("s3:PutBucketTagging bucket",),
    "s3.GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock bucket",),
    "s3.PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock bucket",),
    "s3.DeletePublicAccessBlock": ("s3:PutBucketPublicAccessBlock bucket",),
    "s3.GetObjectLockConfiguration": ("s3:GetBucketObjectLockConfiguration bucket",),
    "s3.PutObjectLockConfiguration": ("s3:PutBucketObjectLockConfiguration bucket",),
    "s3.HeadObject": ("s3:GetObject object",),
    "s3.GetObject": ("s3:GetObject object",),
    "s3.GetObjectAttributes": ("s3:GetObject object", "s3:GetObjectAttributes object"),
    "s3.SelectObjectContent": ("s3:GetObject object",),
    "s3.PutObject": ("s3:PutObject object", "s3:PutObjectTagging object Tagging"),
    "s3.CreateMultipartUpload": ("s3:PutObject object", "s3:PutObjectTagging object Tagging"),
    "s3.UploadPart": ("s3:PutObject object",),
    "s3.CompleteMultipartUpload": ("s3:PutObject object",),
    "s3.AbortMultipartUpload": ("s3:AbortMultipartUpload object",),
    "s3.ListParts": ("s3:ListMultipartUploadParts object",),
    "s3.CopyObject": ("s3:GetObject source", "s3:PutObject object"),
    "s3.UploadPartCopy": ("s3:GetObject source", "s3:PutObject object"),
    "s3.DeleteObject": ("s3:DeleteObject object",),
    "s3.DeleteObjects": ("s3:DeleteObject each",),
    "kms.CreateKey": ("kms:CreateKey *", "kms:TagResource * Tags"),
    "kms.ListKeys": ("kms:ListKeys *",),
    "kms.ListAliases": ("kms:ListAliases *",),
    "kms.GenerateRandom": ("kms:GenerateRandom *",),
    "kms.CreateAlias": ("kms:CreateAlias alias", "kms:CreateAlias target-key"),
    "kms.UpdateAlias": (
        "kms:UpdateAlias alias",
        "kms:UpdateAlias alias-key",
        "kms:UpdateAlias target-key",
    ),
    "kms.DeleteAlias": ("kms:DeleteAlias alias", "kms:DeleteAlias alias-key"),
    "kms.ReEncrypt": ("kms:ReEncryptFrom source-key", "kms:ReEncryptTo destination-key"),
    "kms.ListRetirableGrants": ("kms:ListRetirableGrants *",),
    "kms.RetireGrant": (),  # the grant itself says who may; the handler asks for all others
    "bedrock-runtime.InvokeModel": (
        "bedrock:InvokeModel model",
        "bedrock:ApplyGuardrail guardrail guardrailIdentifier",
    ),
    "bedrock-runtime.Converse": (
        "bedrock:InvokeModel model",
        "bedrock:ApplyGuardrail guardrail guardrailConfig",
    ),
    "bedrock-runtime.InvokeModelWithResponseStream": (
        "bedrock:InvokeModelWithResponseStream model",
        "bedrock:ApplyGuardrail guardrail guardrailIdentifier",
    ),
    "bedrock-runtime.ConverseStream": (
        "bedrock:InvokeModelWithResponseStream model",
        "bedrock:ApplyGuardrail guardrail guardrailConfig",
    ),
    "bedrock-runtime.InvokeModelWithBidirectionalStream": ("bedrock:InvokeModel model",),
    "bedrock-runtime.CountTokens": ("bedrock:CountTokens model",),
    # What Converse asks for, whoever's words the call is in: AWS's own `bedrock-mantle:` actions
    # would be a second way to the same models, of which no policy for Bedrock knows (0057).
    "bedrock-mantle.CreateChatCompletion": _ANSWERED,
    "bedrock-mantle.CreateResponse": _ANSWERED,
    "bedrock-mantle.CreateMessage": _ANSWERED,
    "bedrock-mantle.CreateEmbedding": ("bedrock:InvokeModel model",),
    "bedrock-mantle.CountMessageTokens": ("bedrock:CountTokens model",),
    "bedrock-mantle.ListModels": ("bedrock:ListFoundationModels *",),
    "bedrock-mantle.RetrieveModel": ("bedrock:GetFoundationModel model",),
    "bedrock.CreateGuardrailVersion": ("bedrock:CreateGuardrailVersion guardrail",),
    "bedrock.GetFoundationModel": ("bedrock:GetFoundationModel model",),
    "bedrock.CreateInferenceProfile": (
        "bedrock:CreateInferenceProfile copied",
        "bedrock:TagResource * tags",
    ),
    "bedrock.CreateModelImportJob": (
        "bedrock:CreateModelImportJob *",
        "bedrock:TagResource * jobTags",
        "bedrock:TagResource * importedModelTags",
    ),
    "bedrock.GetModelImportJob": ("bedrock:GetModelImportJob import-job",),
    "bedrock.CreateProvisionedModelThroughput": (
        "bedrock:CreateProvisionedModelThroughput model",
        "bedrock:TagResource * tags",
    ),
    **{
        f"bedrock.{verb}ProvisionedModelThroughput": (
            f"bedrock:{verb}ProvisionedModelThroughput provisioned-model",
        )
        for verb in ("Get", "Update", "Delete")
    },
    "bedrock.GetImportedModel": ("bedrock:GetImportedModel imported-model",),
    "bedrock.DeleteImportedModel": ("bedrock:DeleteImportedModel imported-model",),
    "bedrock.GetInferenceProfile": ("bedrock:GetInferenceProfile inference-profile",),
    "bedrock.DeleteInferenceProfile": ("bedrock:DeleteInferenceProfile inference-profile",),
    "bedrock.TagResource": ("bedrock:TagResource tagged",),
    "bedrock.UntagResource": ("bedrock:UntagResource tagged",),
    "bedrock.ListTagsForResource": ("bedrock:ListTagsForResource tagged",),
    "bedrock-agent.CreateAgent": ("bedrock:CreateAgent *", "bedrock:TagResource * tags"),
    **{
        f"bedrock-agent.{name}": (f"bedrock:{name} agent",)
        for name in (
            "GetAgent",
            "UpdateAgent",
            "DeleteAgent",
            "PrepareAgent",
            "CreateAgentActionGroup",
            "GetAgentActionGroup",
            "UpdateAgentActionGroup",
            "DeleteAgentActionGroup",
            "ListAgentActionGroups",
            "GetAgentVersion",
            "ListAgentVersions",
            "DeleteAgentVersion",
            "ListAgentAliases",
        )
    },
    "bedrock-agent.CreateAgentAlias": (
        "bedrock:CreateAgentAlias agent",
        "bedrock:TagResource * tags",
    ),
    **{
        f"bedrock-agent.{name}": (f"bedrock:{name} agent-alias",)
        for name in ("GetAgentAlias", "UpdateAgentAlias", "DeleteAgentAlias")
    },
    **{
        f"bedrock-agent.{name}": (f"bedrock:{name} agent",)
        for name in (
            "AssociateAgentKnowledgeBase",
            "GetAgentKnowledgeBase",
            "UpdateAgentKnowledgeBase",
            "DisassociateAgentKnowledgeBase",
            "ListAgentKnowledgeBases",
            "AssociateAgentCollaborator",
            "GetAgentCollaborator",
            "UpdateAgentCollaborator",
            "DisassociateAgentCollaborator",
            "ListAgentCollaborators",
        )
    },
    **{
        f"bedrock-agent.{name}": (f"bedrock:{name} tagged-arn",)
        for name in ("TagResource", "UntagResource", "ListTagsForResource")
    },
    "bedrock-agent-runtime.InvokeInlineAgent": ("bedrock:InvokeInlineAgent *",),
    "bedrock-agent-runtime.InvokeAgent": ("bedrock:InvokeAgent agent-alias",),
    **{
        f"bedrock-agent-runtime.RetrieveAndGenerate{kind}": (
            "bedrock:RetrieveAndGenerate *",
            "bedrock:Retrieve asked-base",
            "bedrock:InvokeModel asked-model",
            "bedrock:ApplyGuardrail asked-guardrail",
            "bedrock:Rerank asked-reranking",
            "bedrock:InvokeModel reranking-model",
        )
        for kind in ("", "Stream")
    },
    "bedrock-agent-runtime.Retrieve": (
        "bedrock:Retrieve knowledge-base",
        "bedrock:Rerank asked-reranking",
        "bedrock:InvokeModel reranking-model",
    ),
    "bedrock-agent-runtime.Rerank": ("bedrock:Rerank *", "bedrock:InvokeModel reranking-model"),
    "bedrock-agentcore-control.CreateAgentRuntime": (
        "bedrock-agentcore:CreateAgentRuntime *",
        "bedrock-agentcore:TagResource * tags",
    ),
    **{
        f"bedrock-agentcore-control.{name}": (f"bedrock-agentcore:{name} agent-runtime",)
        for name in (
            "GetAgentRuntime",
            "UpdateAgentRuntime",
            "DeleteAgentRuntime",
            "ListAgentRuntimeVersions",
            "ListAgentRuntimeEndpoints",
        )
    },
    "bedrock-agentcore-control.CreateAgentRuntimeEndpoint": (
        "bedrock-agentcore:CreateAgentRuntimeEndpoint agent-runtime",
        "bedrock-agentcore:TagResource agent-runtime tags",
    ),
    **{
        f"bedrock-agentcore-control.{name}": (f"bedrock-agentcore:{name} runtime-endpoint",)
        for name in (
            "GetAgentRuntimeEndpoint",
            "UpdateAgentRuntimeEndpoint",
            "DeleteAgentRuntimeEndpoint",
        )
    },
    **{
        f"bedrock-agentcore-control.{name}": (f"bedrock-agentcore:{name} tagged-arn",)
        for name in ("TagResource", "UntagResource", "ListTagsForResource")
    },
    **{
        f"bedrock-agentcore.{name}": (
            f"bedrock-agentcore:{name} agent-runtime",
            f"bedrock-agentcore:{name} runtime-endpoint",
        )
        for name in ("InvokeAgentRuntime", "StopRuntimeSession")
    },
    "lambda.ListFunctions": ("lambda:ListFunctions *",),
    "lambda.Invoke": ("lambda:InvokeFunction function",),
    **{
        f"lambda.{name}": (f"lambda:{name} tagged-function",)
        for name in ("TagResource", "UntagResource", "ListTags")
    },
    "sagemaker.CreateEndpoint": (
        "sagemaker:CreateEndpoint sagemaker",
        "sagemaker:CreateEndpoint endpoint-config",
        "sagemaker:AddTags sagemaker Tags",
    ),
    "sagemaker.UpdateEndpoint": (
        "sagemaker:UpdateEndpoint sagemaker",
        "sagemaker:UpdateEndpoint endpoint-config",
    ),
    "sagemaker.UpdateEndpointWeightsAndCapacities": (
        "sagemaker:UpdateEndpointWeightsAndCapacities endpoint",
    ),
    "sagemaker-runtime.InvokeEndpoint": ("sagemaker:InvokeEndpoint endpoint",),
    "sagemaker-runtime.InvokeEndpointWithResponseStream": ("sagemaker:InvokeEndpoint endpoint",),
    "sagemaker-runtime.InvokeEndpointAsync": ("sagemaker:InvokeEndpointAsync endpoint",),
}

# What else is needed to make a thing with tags, where the table does not name the operation.
WITH_TAGS = {
    "sagemaker": "sagemaker:AddTags sagemaker Tags",
    "bedrock": "bedrock:TagResource * tags",
    "cloudwatch": "cloudwatch:TagResource * Tags",
    "lambda": "lambda:TagResource function Tags",
}
# Everything else in s3 whose name holds "Object" is about the object, the rest about the bucket.
# With a version id these act under another name.
WITH_VERSION = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
}
PREFIXES = {
    "sagemaker-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "bedrock-runtime": "bedrock",
    "bedrock-agent": "bedrock",
    "bedrock-agent-runtime": "bedrock",
    "bedrock-mantle": "bedrock",
    "bedrock-agentcore-control": "bedrock-agentcore",
}
# AWS's own actions of an operation: nobody has to allow them, but a Deny of one is met (0057).
DENIED_BY: dict[str, str] = {
    "bedrock-mantle.CreateChatCompletion": "bedrock-mantle:CreateInference",
    "bedrock-mantle.CreateResponse": "bedrock-mantle:CreateInference",
    "bedrock-mantle.CreateMessage": "bedrock-mantle:CreateInference",
    "bedrock-mantle.CreateEmbedding": "bedrock-mantle:CreateInference",
    "bedrock-mantle.CountMessageTokens": "bedrock-mantle:CreateInference",
    "bedrock-mantle.ListModels": "bedrock-mantle:ListModels",
    "bedrock-mantle.RetrieveModel": "bedrock-mantle:GetModel",
}
# Request members that are condition keys: operation or service → {member: key}.
CONDITION_KEYS: dict[str, dict[str, str]] = {
    "s3": {
        "Prefix": "s3:prefix",
        "Delimiter": "s3:delimiter",
        "MaxKeys": "s3:max-keys",
        "ACL": "s3:x-amz-acl",
        "VersionId": "s3:versionid",
        "ServerSideEncryption": "s3:x-amz-server-side-encryption",
        "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "StorageClass": "s3:x-amz-storage-class",
        "CopySource": "s3:x-amz-copy-source",
        "MetadataDirective": "s3:x-amz-metadata-directive",
    },
    "sts": {
        "ExternalId": "sts:externalid",
        "RoleSessionName": "sts:rolesessionname",
        "SourceIdentity": "sts:sourceidentity",
    },
    "iam": {
        "PolicyArn": "iam:policyarn",
        "PermissionsBoundary": "iam:permissionsboundary",
        "CredentialAgeDays": "iam:servicespecificcredentialagedays",
    },
    "cloudwatch": {"Namespace": "cloudwatch:namespace"},
    "kms": {
        "KeySpec": "kms:keyspec",
        "KeyUsage": "kms:keyusage",
        "Origin": "kms:keyorigin",
        "EncryptionAlgorithm": "kms:encryptionalgorithm",
        "SigningAlgorithm": "kms:signingalgorithm",
        "MacAlgorithm": "kms:macalgorithm",
        "MessageType": "kms:messagetype",
        "GranteePrincipal": "kms:granteeprincipal",
        "RetiringPrincipal": "kms:retiringprincipal",
        "PendingWindowInDays": "kms:schedulekeydeletionpendingwindowindays",
        "RotationPeriodInDays": "kms:rotationperiodindays",
        "BypassPolicyLockoutSafetyCheck": "kms:bypasspolicylockoutsafetycheck",
    },
    "sagemaker": {
        "NetworkInterfaceId": "sagemaker:networkinterfaceid",
        "EnableNetworkIsolation": "sagemaker:networkisolation",
        "EnableInterContainerTrafficEncryption": "sagemaker:intercontainertrafficencryption",
    },
}
