"""Checks every IAM policy of a running stack against AWS's service authorization reference, with parliament.

    policies.py ENDPOINT

Reads the roles, their inline policies, and the account's own managed policies as Terraform has rendered them. An action that
doesn't exist, a resource that an action doesn't take, a condition key that it doesn't know: on AWS, such a statement grants
nothing, and the emulator doesn't tell. What is right all the same is listed in REASONS; an entry that matches nothing fails too.

The characters of the policies are counted as well: AWS rejects a policy above its quotas, and the emulator accepts it.
"""

import json
import re
import sys
from collections import Counter

import boto3
from parliament import analyze_policy_string

# (policy, issue, detail): regular expressions; and why the finding is right as it is.
REASONS = [
    (r".*", "RESOURCE_STAR", r"^\['cloudwatch:DescribeAlarms'\]$",
     "Terraform finds an alarm by a list, which AWS grants on all alarms of the account"),
    (r"bbws-deploy-(audit-logger|product-creator)-\w+/write", "RESOURCE_STAR", r"EventSourceMapping",
     "Lambda chooses a mapping's ID; the function that it calls is in a condition"),
    (r"bbws-product-service-boundary-\w+", "RESOURCE_STAR", r"logs:",
     "API Gateway names its log groups itself; a boundary grants nothing by itself"),
    (r"bbws-deploy-.*", "MISMATCHED_TYPE_BUT_USABLE", r"given Arn",
     "iam:PermissionsBoundary is compared as a string, as in AWS's own examples: an exact ARN, no pattern"),
    (r"bbws-deploy-product-infrastructure-write-\w+", "RESOURCE_POLICY_PRIVILEGE_ESCALATION", r"audit-logs",
     "the pipeline owns the bucket's settings; Object Lock keeps records from whoever may delete objects"),
    (r"bbws-deploy-product-infrastructure-write-\w+", "RESOURCE_POLICY_PRIVILEGE_ESCALATION", r"audit-queries",
     "the pipeline owns the bucket's settings; results of queries are copies, deleted after seven days"),
    (r"bbws-deploy-product-infrastructure-.*", "RESOURCE_MISMATCH", r"athena:(ListTagsForResource|TagResource)",
     "a workgroup is one of three kinds of resources that have tags, and the only one here"),
    (r"bbws-product-service-boundary-\w+", "UNKNOWN_CONDITION_FOR_ACTION", r"kms:ResourceAliases",
     "documented for every action on a key; parliament's copy of the reference lists it for none"),
    (r"bbws-product-events-pipe-\w+/stream-to-topic", "RESOURCE_MISMATCH", r"table/\*/stream/\*",
     "the stream's name is a time with colons in it, which parliament takes for more parts of the ARN"),
]

# Characters that aren't whitespace: of a managed policy, and of a role's inline policies together.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_QUOTA, INLINE_QUOTA = 6144, 10240
# Names are longer in prod, and with a bucket_suffix.
ROOM = 0.95


def policies(iam):
    """The documents of all roles and of the account's managed policies, by name."""
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            name = role["RoleName"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                yield f"{name}/{policy}", iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    for page in iam.get_paginator("list_policies").paginate(Scope="Local"):
        for policy in page["Policies"]:
            version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
            yield policy["PolicyName"], version["PolicyVersion"]["Document"]


def main(endpoint):
    iam = boto3.client("iam", endpoint_url=endpoint, region_name="eu-west-1")
    checked, found, used, sizes = 0, [], set(), Counter()
    for name, document in policies(iam):
        checked += 1
        # `ROLE/POLICY` is inline.
        sizes[name.partition("/")[:2]] += len(json.dumps(document, separators=(",", ":")))
        for finding in analyze_policy_string(json.dumps(document)).findings:
            for reason in REASONS:
                if (re.fullmatch(reason[0], name) and finding.issue == reason[1]
                        and re.search(reason[2], str(finding.detail))):
                    used.add(reason)
                    break
            else:
                found.append(f"{name}: {finding.issue}: {finding.detail}")
    for (name, inline), size in sizes.items():
        quota = int((INLINE_QUOTA if inline else MANAGED_QUOTA) * ROOM)
        if size > quota:
            found.append(f"{name}: {size} characters, of which a policy may have {quota}: split it")
    found += [f"REASONS has an entry that matches nothing: {reason[:3]}" for reason in REASONS if reason not in used]
    print("\n".join(found))
    if found or checked == 0:
        sys.exit(f"{checked} policies, {len(found)} findings")
    print(f"{checked} policies, none with a finding that has no reason")


if __name__ == "__main__":
    main(sys.argv[1])
